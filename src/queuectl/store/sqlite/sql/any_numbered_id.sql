-- Whether somebody chose an id that looks made up.
SELECT EXISTS (SELECT 1 FROM jobs WHERE id >= 'j0' AND id < 'j:')

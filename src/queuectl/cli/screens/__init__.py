"""Plain-text screens: pure functions from model records to lines, one module a screen."""

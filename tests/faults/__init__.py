"""Faults: processes killed and stopped, disks that fail, clocks that jump, and the proof
from a witness file that the promises P1-P4 and P6 of DESIGN section 1 hold all the same."""

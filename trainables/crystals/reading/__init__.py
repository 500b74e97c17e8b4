"""Reads CIF and POSCAR in a separate process with limits of time and memory."""

"""CIF and POSCAR: pymatgen's readers, in a process of their own with limits of time and memory."""

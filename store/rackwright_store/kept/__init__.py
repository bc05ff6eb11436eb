"""What must outlive the store's process, in SQLite: the tables of one subject in a file each."""

"""`hil live`: a page that shows what runs, measured folders and studies do. It reads files and touches no device."""

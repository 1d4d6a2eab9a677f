"""Everything that makes a house, in one file: taken while the gateway runs, looked at before it is put back."""

"""Teams at work: who of them is asked, when, and what their answers come to. Pure: no I/O and no clock."""

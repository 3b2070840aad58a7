"""Where vectors are kept and searched: one file per engine."""

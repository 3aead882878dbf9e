"""The public data sets, from where their authors and MS-TCN's put them."""

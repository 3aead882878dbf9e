"""From features and labels of any kind to a data set in the MS-TCN layout."""

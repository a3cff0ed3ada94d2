//! Batches in motion: reader → converters → ordered writer → committer, within one memory budget. Knows no format.

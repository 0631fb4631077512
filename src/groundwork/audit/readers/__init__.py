"""Readers: each turns files of an audited repository into what checks ask about. None runs any."""

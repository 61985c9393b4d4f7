"""Attribution: which parts of a post an analyst's label rests on, by methods that can be compared with one another."""

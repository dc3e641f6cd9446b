//! What a proportion shows, in one line for people.

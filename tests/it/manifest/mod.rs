mod bad_days;
mod documents;
mod floats;
mod index;
mod properties;
mod verbs;

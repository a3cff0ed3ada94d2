mod bad_days;
mod documents;
mod index;
mod properties;
mod verbs;

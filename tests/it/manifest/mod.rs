mod attributes;
mod bad_days;
mod documents;
mod floats;
mod index;
mod obstacles;
mod properties;
mod verbs;

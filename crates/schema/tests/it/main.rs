//! The decoder against what upstream's server answered.

mod corpus;

//! What the symbolizer says of programs that compilers on this machine make.

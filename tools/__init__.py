"""The binaries: flags in, one library call, result out."""

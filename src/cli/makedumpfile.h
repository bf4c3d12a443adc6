// kvista as makedumpfile: started by that name, it takes that command line.
#pragma once

namespace kvista::cli::makedumpfile {

/// Whether a program of this name is meant to be makedumpfile: the last part of the path is that word.
bool is_meant_by(const char* program);

/// Does what makedumpfile's command line asks. Gives its exit status: 0 completed, 1 failed, or not
/// everything was saved. Throws nothing.
int run(int argc, char** argv);

}  // namespace kvista::cli::makedumpfile

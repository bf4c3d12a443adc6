// Spreading independent items over threads.
#pragma once

#include <cstddef>
#include <functional>

namespace kvista {

/// How many threads to use by default: the processors that this process may run on.
unsigned default_threads();

/// Calls `work(item, worker)` once for each item in [0, items), from up to `threads` threads; `worker` is
/// in [0, threads) and belongs to one thread. The first exception is thrown again here after all threads
/// have stopped; items not started by then are left undone.
void parallel_for(size_t items, unsigned threads,
                  const std::function<void(size_t item, unsigned worker)>& work);

}  // namespace kvista

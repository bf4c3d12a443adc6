// Stacks of kernels that keep frame pointers: from frame to frame, as the architecture's form of frames says.
#pragma once

#include <span>

#include "unwind/frame_format.h"
#include "unwind/trace.h"

namespace kvista::unwind {

/// Follows calls upwards. `stacks` are those that may be on the way; they must outlive the trace. Never
/// throws for what memory holds: the trace says where and why it ends.
Trace unwind_by_frames(const Target& target, const FrameFormat& format, std::span<const Stack> stacks,
                       const Start& start, ByteOrder order);

}  // namespace kvista::unwind

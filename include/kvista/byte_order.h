// The order of the bytes of a number, which an image has by itself: it need not be that of this machine.
#pragma once

namespace kvista {

enum class ByteOrder { little, big };

}  // namespace kvista

// The types of a described kernel that has objects.
#pragma once

#include "images/description.h"
#include "images/type_book.h"

namespace kvista::test {

/// As Linux 6.12 has them on x86_64, with the members that readers of kernels ask for. Semaphores keep their
/// waiters as since 7.1, so that both ways are there.
const TypeBook& kernel_types();
/// The BTF of a described kernel, with what is wrong with it but for damage to its bytes.
BtfBuilder btf_of(const Description& description);

}  // namespace kvista::test

#include "cli/refused.h"

#include <algorithm>
#include <array>

namespace kvista::cli {
namespace {

struct Refused {
  const char* name;
  const char* why;
};

constexpr std::array kRefused = {
    Refused{"bpf",
            "kvista lists no BPF programs; tree -t xarray prog_idr.idr_rt lists their struct bpf_prog"},
    Refused{"btop", "kvista has no such command: eval 'ADDRESS >> 12' is the page frame's number"},
    Refused{"dev", "kvista lists no devices; p, list and struct show those whose address is known"},
    Refused{"extend", "kvista cannot load extensions of crash"},
    Refused{"files", "kvista lists no open files; task -R files PID shows where a task's table of them is"},
    Refused{"fuser", "kvista lists no users of files"},
    Refused{"gdb", "kvista has no gdb in it; p, struct, whatis and rd do most of what it is used for"},
    Refused{"ipcs", "kvista lists no IPC objects; p init_ipc_ns shows where they hang"},
    Refused{"irq", "kvista lists no interrupts; p sparse_irqs (irq_desc_tree before 6.5) holds them"},
    Refused{
        "kmem",
        "kvista has no such command: mem-usage counts pages by what they are used for, vtop translates an "
        "address, sym names it"},
    Refused{"mount", "kvista lists no mounts; p init_task.nsproxy->mnt_ns shows where they hang"},
    Refused{"net", "kvista lists no network devices; list and p init_net show where they hang"},
    Refused{"pte", "kvista has no such command: vtop ADDRESS shows each entry of the walk, and what it says"},
    Refused{"ptob", "kvista has no such command: eval 'PFN << 12' is the address of a page frame"},
    Refused{
        "ptov",
        "kvista has no such command: eval PHYSICAL + page_offset, which info shows, is its address in the "
        "direct map"},
    Refused{"rustfilt",
            "kvista shows names as the kernel has them; the host's rustfilt reads them from a pipe"},
    Refused{"sbitmapq", "kvista has no such command: struct sbitmap_queue ADDRESS shows one"},
    Refused{"search", "kvista does not search memory; rd ADDRESS COUNT | grep does in a part of it"},
    Refused{"sig", "kvista lists no signals; task -R pending,blocked PID shows those of a task"},
    Refused{"swap", "kvista lists no swap devices; p swap_info shows them"},
    Refused{"timer", "kvista lists no timers; p timer_bases:0 and p hrtimer_bases:0 show a CPU's"},
    Refused{"vm", "kvista shows no address space; task -R mm PID leads to it, and ps shows how large it is"},
    Refused{
        "waitq",
        "kvista has no such command: list -h on a wait queue's head shows who waits, lock who waits for a "
        "lock"},
    Refused{"wr", "kvista never writes to memory"},
};

}  // namespace

const char* why_refused(std::string_view command) {
  const auto* found =
      std::find_if(kRefused.begin(), kRefused.end(), [&](const Refused& one) { return command == one.name; });
  return found == kRefused.end() ? nullptr : found->why;
}

}  // namespace kvista::cli

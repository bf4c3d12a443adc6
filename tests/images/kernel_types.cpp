#include "images/kernel_types.h"

namespace kvista::test {
namespace {

// A task has three pages, so that each can be missing by itself: its state, what it is, its name.
constexpr std::string_view kTypes = R"(
typedef unsigned long long u64;
typedef int pid_t;
struct list_head { struct list_head *next; struct list_head *prev; };
struct hlist_node { struct hlist_node *next; struct hlist_node **pprev; };
struct hlist_head { struct hlist_node *first; };
struct rb_node { unsigned long __rb_parent_color; struct rb_node *rb_right; struct rb_node *rb_left; };
struct rb_root { struct rb_node *rb_node; };
struct rb_root_cached { struct rb_root rb_root; struct rb_node *rb_leftmost; };
struct atomic_counter { int counter; };
typedef struct atomic_counter atomic_t;
struct atomic_long_counter { long counter; };
typedef struct atomic_long_counter atomic_long_t;
struct cpumask { unsigned long bits[4]; };
struct percpu_counter { unsigned int lock; long long count; struct list_head list; int *counters; };

struct xarray { unsigned int xa_lock; unsigned int xa_flags; void *xa_head; };
struct xa_node {
  unsigned char shift; unsigned char offset; unsigned char count; unsigned char nr_values;
  struct xa_node *parent; struct xarray *array; struct list_head private_list;
  void *slots[64]; unsigned long tags[3];
};
struct idr { struct xarray idr_rt; unsigned int idr_base; unsigned int idr_next; };
enum maple_type { maple_dense, maple_leaf_64, maple_range_64, maple_arange_64 };
struct maple_range_64 { struct maple_pnode *parent; unsigned long pivot[15]; void *slot[16]; };
struct maple_arange_64 {
  struct maple_pnode *parent; unsigned long pivot[9]; void *slot[10]; unsigned long gap[10];
};
struct maple_tree { unsigned int ma_lock; unsigned int ma_flags; void *ma_root; };

enum mm_counter { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES, NR_MM_COUNTERS };
struct mm_struct { struct maple_tree mm_mt; unsigned long total_vm; struct percpu_counter rss_stat[4]; };
struct signal_struct { int nr_threads; struct list_head thread_head; };
struct pid { unsigned int level; struct hlist_head tasks[4]; };
struct pid_namespace { struct idr idr; unsigned int pid_allocated; };
struct thread_info { unsigned long flags; unsigned long syscall_work; unsigned int status; unsigned int cpu; };
struct thread_struct { unsigned long sp; };
struct sched_entity {
  u64 deadline; struct rb_node run_node; u64 vruntime; unsigned char on_rq; unsigned char sched_delayed;
  struct cfs_rq *my_q;
};
struct sched_rt_entity { struct list_head run_list; };
struct sched_dl_entity { struct rb_node rb_node; u64 deadline; };
struct sched_info { u64 last_arrival; };
struct task_struct {
  struct thread_info thread_info; unsigned int __state; unsigned int flags; int prio;
  struct sched_entity se; struct sched_rt_entity rt; struct sched_dl_entity dl; struct sched_info sched_info;
  char sched[3976];
  struct list_head tasks; struct mm_struct *mm; int exit_state; pid_t pid; pid_t tgid;
  struct task_struct *real_parent; struct pid *thread_pid; struct hlist_node pid_links[4];
  struct list_head thread_node; u64 utime; u64 stime; u64 start_time;
  struct rt_mutex_waiter *pi_blocked_on; unsigned long blocker; char locks[4080];
  char comm[16]; struct signal_struct *signal; void *stack; struct thread_struct thread;
};
struct cfs_rq { unsigned int nr_queued; struct rb_root_cached tasks_timeline; struct sched_entity *curr; };
struct rt_prio_array { unsigned long bitmap[1]; struct list_head queue[4]; };
struct rt_rq { struct rt_prio_array active; };
struct dl_rq { struct rb_root_cached root; };
struct rq {
  unsigned int nr_running; struct task_struct *curr; struct task_struct *idle; struct cfs_rq cfs;
  struct rt_rq rt; struct dl_rq dl; u64 clock;
};

struct mutex {
  atomic_long_t owner; unsigned int wait_lock; unsigned int osq; struct list_head wait_list;
};
struct mutex_waiter { struct list_head list; struct task_struct *task; void *ww_ctx; };
struct rw_semaphore {
  atomic_long_t count; atomic_long_t owner; unsigned int osq; unsigned int wait_lock; struct list_head wait_list;
};
enum rwsem_waiter_type { RWSEM_WAITING_FOR_WRITE, RWSEM_WAITING_FOR_READ };
struct rwsem_waiter {
  struct list_head list; struct task_struct *task; enum rwsem_waiter_type type; unsigned long timeout;
};
struct semaphore { unsigned int lock; unsigned int count; struct semaphore_waiter *first_waiter; };
struct semaphore_waiter { struct list_head list; struct task_struct *task; char up; };
struct rt_mutex_base { unsigned int wait_lock; struct rb_root_cached waiters; struct task_struct *owner; };
struct rt_mutex { struct rt_mutex_base rtmutex; };
struct rt_waiter_node { struct rb_node entry; int prio; u64 deadline; };
struct rt_mutex_waiter {
  struct rt_waiter_node tree; struct rt_waiter_node pi_tree; struct task_struct *task;
  struct rt_mutex_base *lock;
};

struct work_struct { atomic_long_t data; struct list_head entry; void *func; };
struct timer_list { struct hlist_node entry; unsigned long expires; void *function; unsigned int flags; };
struct delayed_work { struct work_struct work; struct timer_list timer; struct workqueue_struct *wq; int cpu; };
struct worker {
  struct hlist_node hentry; struct work_struct *current_work; void *current_func;
  struct pool_workqueue *current_pwq; struct list_head scheduled; struct task_struct *task;
  struct worker_pool *pool; struct list_head node; unsigned long last_active; unsigned int flags; int id;
  char desc[32];
};
struct workqueue_attrs { int nice; };
struct worker_pool {
  int cpu; int node; int id; unsigned int flags; struct list_head worklist; int nr_workers; int nr_idle;
  struct hlist_head busy_hash[4]; struct worker *manager; struct list_head workers;
  struct workqueue_attrs *attrs;
};
struct pool_workqueue {
  struct worker_pool *pool; struct workqueue_struct *wq; int refcnt; int nr_active;
  struct list_head inactive_works; struct list_head pwqs_node;
};
struct workqueue_struct {
  struct list_head pwqs; struct list_head list; int max_active; struct worker *rescuer; char name[32];
  unsigned int flags;
};

enum module_state { MODULE_STATE_LIVE, MODULE_STATE_COMING, MODULE_STATE_GOING, MODULE_STATE_UNFORMED };
struct elf64_sym {
  unsigned int st_name; unsigned char st_info; unsigned char st_other; unsigned short st_shndx;
  unsigned long st_value; unsigned long st_size;
};
struct mod_kallsyms { struct elf64_sym *symtab; unsigned int num_symtab; char *strtab; char *typetab; };
struct kernel_symbol { int value_offset; int name_offset; int namespace_offset; };
struct module_memory { void *base; unsigned int size; };
struct module {
  enum module_state state; struct list_head list; char name[56]; struct kernel_symbol *syms;
  unsigned int num_syms; unsigned long taints; struct module_memory mem[7]; struct mod_kallsyms *kallsyms;
  atomic_t refcnt;
};
struct taint_flag { char c_true; char c_false; unsigned char module; };
struct btf { void *data; unsigned int data_size; char name[56]; };
struct btf_module { struct list_head list; struct btf *btf; struct module *module; };

struct new_utsname {
  char sysname[65]; char nodename[65]; char release[65]; char version[65]; char machine[65];
  char domainname[65];
};
struct uts_namespace { struct new_utsname name; };
struct timespec64 { long tv_sec; long tv_nsec; };
struct timekeeper { unsigned long xtime_sec; struct timespec64 wall_to_monotonic; long long offs_boot; };
struct tk_data { unsigned int seq; struct timekeeper timekeeper; };

enum dmi_field { DMI_NONE, DMI_BIOS_VENDOR, DMI_SYS_VENDOR, DMI_BOARD_NAME, DMI_STRING_MAX, DMI_OEM_STRING };
struct dmi_texts { char *ident[4]; };
enum e820_type { E820_TYPE_RAM = 1, E820_TYPE_RESERVED, E820_TYPE_SOFT_RESERVED = 4026531839 };
struct e820_entry { u64 addr; u64 size; enum e820_type type; };
struct e820_table { unsigned int nr_entries; struct e820_entry entries[3]; };

struct inactive_task_frame {
  unsigned long r15; unsigned long r14; unsigned long r13; unsigned long r12; unsigned long bx; unsigned long bp;
  unsigned long ret_addr;
};
struct pcpu_chunk { void *base_addr; int nr_pages; };
)";

}  // namespace

const TypeBook& kernel_types() {
  static const TypeBook kBook(kTypes);
  return kBook;
}

}  // namespace kvista::test

// SPDX-License-Identifier: GPL-2.0
/* A module of the lab's own kernel: tasks that wait for each other. A number written to /proc/deadlock takes two locks, the second
 * when another task has both of its own to come: 0 and 1 two mutexes, 2 and 3 a mutex and a semaphore for readers and a writer. */
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/rwsem.h>
#include <linux/uaccess.h>

static DEFINE_MUTEX(deadlock_first);
static DEFINE_MUTEX(deadlock_second);
static DEFINE_MUTEX(deadlock_third);
static DECLARE_RWSEM(deadlock_fourth);

static struct completion has_one[4];

static noinline void take_other(unsigned int task)
{
	switch (task) {
	case 0:
		mutex_lock(&deadlock_second);
		break;
	case 1:
		mutex_lock(&deadlock_first);
		break;
	case 2:
		down_write(&deadlock_fourth);
		break;
	case 3:
		mutex_lock(&deadlock_third);
		break;
	}
}

static noinline void take_one(unsigned int task)
{
	switch (task) {
	case 0:
		mutex_lock(&deadlock_first);
		break;
	case 1:
		mutex_lock(&deadlock_second);
		break;
	case 2:
		mutex_lock(&deadlock_third);
		break;
	case 3:
		down_write(&deadlock_fourth);
		break;
	}
}

static ssize_t deadlock_write(struct file *file, const char __user *text, size_t size, loff_t *at)
{
	unsigned int task;

	if (kstrtouint_from_user(text, size, 10, &task) || task >= ARRAY_SIZE(has_one))
		return -EINVAL;
	take_one(task);
	complete(&has_one[task]);
	wait_for_completion(&has_one[task ^ 1]);
	take_other(task);
	return size;
}

static const struct proc_ops deadlock_ops = {
	.proc_write = deadlock_write,
};

static int __init deadlock_init(void)
{
	for (unsigned int task = 0; task < ARRAY_SIZE(has_one); ++task)
		init_completion(&has_one[task]);
	return proc_create("deadlock", 0200, NULL, &deadlock_ops) ? 0 : -ENOMEM;
}
module_init(deadlock_init);

MODULE_DESCRIPTION("Tasks that wait for each other");
MODULE_LICENSE("GPL");

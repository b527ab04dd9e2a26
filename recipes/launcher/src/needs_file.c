/* Files of /proc and /sys, and in which namespace they are seen. */
#include "needs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h: the first pid namespace. */
static const unsigned long first_pid_namespace = 0xEFFFFFFCUL;

bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got = 0;

	text[0] = 0;
	if (fd < 0)
		return false;
	while (used + 1 < size && (got = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	close(fd);
	text[used] = 0;
	return got >= 0;
}

bool has_word(const char *text, const char *word)
{
	size_t size = strlen(word);
	const char *at = text;

	while ((at = strstr(at, word))) {
		if ((at == text || strchr(" \t\n", at[-1])) && (!at[size] || strchr(" \t\n", at[size])))
			return true;
		at += size;
	}
	return false;
}

bool has_kubelet_file(const struct node *n)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	join(path, "%s/agent/etc/kubelet.conf.d", n->data_dir);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.' && strcmp(entry->d_name, "00-k3s-defaults.conf") != 0;
	closedir(dir);
	return found;
}

bool in_user_namespace(void)
{
	char text[128], *end;
	bool first;

	if (!read_text("/proc/self/uid_map", text, sizeof text))
		return false;	/* a kernel without them */
	first = !strtoul(text, &end, 10) && !strtoul(end, &end, 10) && strtoul(end, &end, 10) == UINT32_MAX;
	return !first;
}

bool in_container(void)
{
	struct stat st;

	return in_user_namespace() || stat("/proc/self/ns/pid", &st) || st.st_ino != first_pid_namespace;
}

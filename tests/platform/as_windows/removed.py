"""Names that Windows lacks, by module: what our packages may use in their room for platforms only."""

import re


def _names(text):
    return frozenset(re.findall(r"\w+", text))


MODULES = _names("fcntl pty tty termios grp pwd resource syslog posix readline curses spwd crypt nis")
NAMES = {
    "os": _names(
        """chown chroot confstr ctermid fchdir fchmod fchown fdatasync fork forkpty fpathconf fstatvfs getegid geteuid
        getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority getresgid getresuid getsid getuid
        initgroups kill killpg lchown lockf major makedev memfd_create minor mkfifo mknod nice openpty pathconf pipe2
        posix_fadvise posix_fallocate posix_openpt posix_spawn posix_spawnp pread preadv ptsname pwrite pwritev readv
        register_at_fork sched_getaffinity sched_setaffinity sched_yield sendfile set_blocking setegid seteuid setgid
        setgroups setpgid setpriority setregid setresgid setresuid setreuid setsid setuid splice statvfs sync sysconf
        sysconf_names tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid writev O_NONBLOCK O_NOFOLLOW O_CLOEXEC
        O_DIRECTORY O_NOCTTY O_SYNC O_DSYNC WNOHANG WIFEXITED WEXITSTATUS"""
    ),
    "signal": _names(
        """SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGVTALRM SIGPROF SIGPIPE SIGKILL SIGCHLD SIGCONT SIGSTOP SIGTSTP
        SIGTTIN SIGTTOU SIGWINCH SIGIO SIGPOLL ITIMER_REAL ITIMER_VIRTUAL ITIMER_PROF setitimer getitimer alarm pause
        pthread_kill pthread_sigmask sigwait siginterrupt sigpending sigtimedwait"""
    ),
    "select": _names("poll epoll kqueue POLLIN POLLOUT POLLERR POLLHUP EPOLLIN"),
    "selectors": _names("PollSelector EpollSelector KqueueSelector DevpollSelector"),
    "socket": _names("AF_UNIX SO_REUSEPORT MSG_DONTWAIT CMSG_LEN SCM_RIGHTS"),
    "time": _names("clock_gettime CLOCK_MONOTONIC pthread_getcpuclockid tzset"),
}
OURS = _names("hil drivers emulator firmware_specs pyvisa_hil")

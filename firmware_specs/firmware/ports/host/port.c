/* The firmware as a process: a board on a pseudo-terminal, a socket, or standard input and output.
 *
 *   board                 on a pseudo-terminal, whose name it prints
 *   board --tcp PORT      on 127.0.0.1:PORT (0: any free one, printed); one host at a time
 *   board --stdio         on standard input and output, until they end
 *
 * SIGUSR1 presses the emergency stop, SIGUSR2 lets it go.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "codes.h"
#include "hil.h"
#include "port.h"

#define ROOM 65536 /* a power of two, above the window in bytes */
#define TICK_MS 10
#define AWAKE_MICROS 200 /* how long after the last byte it looks at the line before it sleeps: waking up costs more */

static uint8_t in[ROOM], out[ROOM];
static size_t in_from, in_to, out_from, out_to; /* counts since the start */
static int from_host = -1, to_host = -1, slave = -1, gone, streams;
static uint64_t heard; /* when the last byte came */
static volatile sig_atomic_t stopped;

/* Takes in what has come; what does not fit is lost, as in a UART. */
static void take_in(void) {
    uint8_t piece[4096];
    ssize_t count = read(from_host, piece, sizeof piece);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) gone = 1;
    if (count > 0 && slave >= 0) { /* the host has it open: from now on its leaving shows */
        close(slave);
        slave = -1;
    }
    if (count > 0) heard = port_micros();
    for (ssize_t i = 0; i < count && in_to - in_from < ROOM; i++) in[in_to++ % ROOM] = piece[i];
}

static void give_out(void) {
    while (out_from != out_to) {
        size_t at = out_from % ROOM, count = out_to - out_from < ROOM - at ? out_to - out_from : ROOM - at;
        ssize_t done = write(to_host, out + at, count);
        if (done <= 0) {
            if (done < 0 && errno != EAGAIN && errno != EINTR) gone = 1, out_from = out_to;
            return;
        }
        out_from += (size_t)done;
    }
}

static void wait_for_host(int milliseconds) {
    struct pollfd wanted[2] = {{from_host, POLLIN, 0}, {to_host, POLLOUT, 0}};
    give_out(); /* before waiting: most often all of it goes at once */
    while (out_from == out_to && port_micros() - heard < AWAKE_MICROS && !poll(wanted, 1, 0)) sched_yield();
    if (!wanted[0].revents) poll(wanted, out_from == out_to ? 1 : 2, milliseconds);
    if (wanted[0].revents) take_in();
}

void port_send(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count && !gone; i++) {
        while (out_to - out_from == ROOM && !gone) wait_for_host(TICK_MS);
        if (!gone) out[out_to++ % ROOM] = bytes[i];
    }
}

uint64_t port_micros(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void port_kick(void) {}

uint32_t port_boot(void) {
    uint32_t number = (uint32_t)port_micros();
    int random = open("/dev/urandom", O_RDONLY);
    if (random >= 0) {
        if (read(random, &number, sizeof number) < 0) number += 1;
        close(random);
    }
    return number ? number : 1;
}

const char *port_serial(void) { return "host-1"; }

void port_outputs(int on) { (void)on; }

int port_cause(void) { return stopped ? TRIP_EMERGENCY_STOP : TRIP_NONE; }

double port_kelvin(void) { return 300.0; }

static void pressed(int signal) { stopped = signal == SIGUSR1; }

static void fail(const char *what) {
    fprintf(stderr, "board: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The host's end is held open until the host has it, else reading fails while there is none. */
static void hold(int master) {
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0) fail(ptsname(master));
}

static int open_pty(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) fail("pseudo-terminal");
    struct termios raw;
    hold(master);
    if (tcgetattr(slave, &raw)) fail(ptsname(master));
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    printf("serial:%s\n", ptsname(master));
    return master;
}

static int open_socket(const char *port) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    socklen_t size = sizeof here;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listening = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listening < 0 || bind(listening, (struct sockaddr *)&here, sizeof here) || listen(listening, 1)) fail(port);
    getsockname(listening, (struct sockaddr *)&here, &size);
    printf("serial:socket://127.0.0.1:%u\n", ntohs(here.sin_port));
    return listening;
}

static void serve(void) {
    in_from = in_to = out_from = out_to = 0;
    gone = 0;
    fcntl(from_host, F_SETFL, O_NONBLOCK | fcntl(from_host, F_GETFL));
    fcntl(to_host, F_SETFL, O_NONBLOCK | fcntl(to_host, F_GETFL));
    while (!gone || in_from != in_to) {
        while (in_from != in_to) {
            size_t at = in_from % ROOM, count = in_to - in_from < ROOM - at ? in_to - in_from : ROOM - at;
            hil_feed(in + at, count > 256 ? 256 : count);
            in_from += count > 256 ? 256 : count;
        }
        hil_poll();
        if (!gone) wait_for_host(TICK_MS);
    }
    while (streams && out_from != out_to) give_out();
    hil_link_lost();
}

int main(int argc, char **argv) {
    static const char usage[] = "usage: board [--tcp PORT | --stdio]";
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, pressed);
    signal(SIGUSR2, pressed);
    setvbuf(stdout, NULL, _IOLBF, 0);
    hil_start();
    if (argc == 2 && !strcmp(argv[1], "--stdio")) {
        streams = 1;
        from_host = STDIN_FILENO;
        to_host = STDOUT_FILENO;
        serve();
    } else if (argc == 3 && !strcmp(argv[1], "--tcp")) {
        int listening = open_socket(argv[2]);
        for (;;) {
            struct pollfd waiting = {listening, POLLIN, 0};
            hil_poll();
            if (poll(&waiting, 1, TICK_MS) <= 0) continue;
            from_host = to_host = accept(listening, NULL, NULL);
            if (from_host < 0) continue;
            serve();
            close(from_host);
        }
    } else if (argc == 1) {
        from_host = to_host = open_pty();
        for (;;) {
            serve();
            hold(from_host);
        }
    } else {
        fprintf(stderr, "%s\n", usage);
        return 2;
    }
    return 0;
}

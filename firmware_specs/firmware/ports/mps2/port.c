/* The firmware on a Cortex-M3: the Arm MPS2 board with the AN385 image, as QEMU emulates it (mps2-an385). Its UART 0 is
 * the link; bytes come in by interrupt into a ring that holds the window, and besides it SYNC and CREDIT (4.5). */
#include "codes.h"
#include "board.h"
#include "hil.h"
#include "port.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define UART_DATA REGISTER(0x40004000)
#define UART_STATE REGISTER(0x40004004)
#define UART_CTRL REGISTER(0x40004008)
#define UART_INT REGISTER(0x4000400C)
#define UART_BAUDDIV REGISTER(0x40004010)
#define TIMER_CTRL REGISTER(0x40000000)
#define TIMER_VALUE REGISTER(0x40000004)
#define TIMER_RELOAD REGISTER(0x40000008)
#define NVIC_ENABLE REGISTER(0xE000E100)
#define SYSTICK_CTRL REGISTER(0xE000E010)
#define SYSTICK_RELOAD REGISTER(0xE000E014)
#define CLOCK_MHZ 25u
#define ROOM (BOARD_WINDOW * 4096u + 512u)

static uint8_t ring[ROOM];
static volatile uint32_t head, tail; /* head: next to write, by the interrupt; tail: next to read */

void uart_received(void) {
    UART_INT = 2; /* before reading: a byte that comes meanwhile asks again */
    while (UART_STATE & 2) {
        uint8_t byte = (uint8_t)UART_DATA;
        uint32_t next = head + 1 == ROOM ? 0 : head + 1;
        if (next == tail) continue; /* more than the window: lost */
        ring[head] = byte;
        head = next;
    }
}

void port_send(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while (UART_STATE & 1) {
        }
        UART_DATA = bytes[i];
    }
}

uint64_t port_micros(void) { /* the timer counts down from 2^32 - 1; looked at more often than its 171 s */
    static uint32_t last = UINT32_MAX;
    static uint64_t ticks;
    uint32_t now = TIMER_VALUE;
    ticks += last - now;
    last = now;
    return ticks / CLOCK_MHZ;
}

void port_kick(void) {}

uint32_t port_boot(void) { /* neither randomness nor memory that lasts: the time until the first SYNC */
    static uint32_t number;
    number = (number + UINT32_MAX - TIMER_VALUE) * 2654435761u;
    return number ? number : 1;
}

const char *port_serial(void) { return "mps2-1"; }

void port_outputs(int on) { (void)on; }

int port_cause(void) { return TRIP_NONE; }

double port_kelvin(void) { return 300.0; }

int main(void) {
    TIMER_RELOAD = UINT32_MAX;
    TIMER_VALUE = UINT32_MAX;
    TIMER_CTRL = 1;
    UART_BAUDDIV = 16;
    UART_CTRL = 1 | 2 | 8; /* transmit, receive, interrupt on receive */
    NVIC_ENABLE = 1;
    SYSTICK_RELOAD = CLOCK_MHZ * 1000u; /* wakes the loop every millisecond */
    SYSTICK_CTRL = 1 | 2 | 4;
    hil_start();
    for (;;) {
        while (tail != head) {
            uint32_t end = head > tail ? head : ROOM, count = end - tail;
            hil_feed(ring + tail, count > 64 ? 64 : count);
            tail = tail + (count > 64 ? 64 : count);
            if (tail == ROOM) tail = 0;
        }
        hil_poll();
        __asm volatile("cpsid i");
        if (tail == head) __asm volatile("wfi"); /* a waiting interrupt ends it, though it runs only behind cpsie */
        __asm volatile("cpsie i");
    }
}

static void ticked(void) {}

extern uint32_t stack_top, data_from, data_start, data_end, bss_start, bss_end;

void start(void) {
    for (uint32_t *from = &data_from, *to = &data_start; to < &data_end;) *to++ = *from++;
    for (uint32_t *to = &bss_start; to < &bss_end;) *to++ = 0;
    main();
    for (;;) {
    }
}

static void stop(void) {
    for (;;) { /* a fault: a real board restarts by its own watchdog, outputs off */
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[17] = {
    &stack_top, (void *)start, (void *)stop, (void *)stop, (void *)stop, (void *)stop, (void *)stop, 0, 0, 0, 0,
    (void *)stop, (void *)stop, 0, (void *)stop, (void *)ticked, (void *)uart_received,
};

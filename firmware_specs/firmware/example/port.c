/* Skeleton of a port for a real board: link, clock, outputs, trips. Written for no vendor's headers, and compiled against
 * none: what is declared under "yours" stands for the calls of your microcontroller's library. Fill in, then link
 * core/, your chip.c and this file. ports/mps2/port.c is a whole one, for a Cortex-M3 without any library. */
#include "board.h"
#include "codes.h"
#include "hil.h"
#include "port.h"

/* --- yours --------------------------------------------------------------------------------------------------- */
void uart_setup(unsigned long baud);          /* 8N1, receive interrupt on: it calls byte_received */
void uart_write(uint8_t byte);                /* waits until the transmitter takes it */
uint32_t timer_micros(void);                  /* free-running, wraps at 2^32 */
void pin_write(int pin, int high);
int pin_read(int pin);
void watchdog_setup(unsigned milliseconds);   /* the microcontroller's own: resets it, and outputs go off with it */
void watchdog_restart(void);
uint32_t flash_count_up(void);                /* a counter in flash or backup RAM that outlives power */
double thermometer_kelvin(void);
const char *unique_id(void);                  /* the microcontroller's, as text */
enum { PIN_OUTPUT_RELAY = 4, PIN_STOP_BUTTON = 7, PIN_SUPPLY_GOOD = 8 };

/* --- the link: a ring that holds the window, and 512 bytes for SYNC and CREDIT besides (PROTOCOL.md 4.5) -------- */
#define ROOM (BOARD_WINDOW * 4096u + 512u)
static uint8_t ring[ROOM];
static volatile uint32_t head, tail;

void byte_received(uint8_t byte) { /* from the interrupt; never waits */
    uint32_t next = head + 1 == ROOM ? 0 : head + 1;
    if (next == tail) return; /* more than the window: lost, the protocol repairs it */
    ring[head] = byte;
    head = next;
}

void port_send(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) uart_write(bytes[i]);
}

uint64_t port_micros(void) {
    static uint32_t last;
    static uint64_t all;
    uint32_t now = timer_micros();
    all += now - last; /* right across the wrap, as it is called more often than every 71 minutes */
    last = now;
    return all;
}

void port_kick(void) { watchdog_restart(); }

uint32_t port_boot(void) { return flash_count_up(); }

const char *port_serial(void) { return unique_id(); }

/* A relay or the enable pins of the drivers, wired so that a reset opens it. Off first, DACs to zero after. */
void port_outputs(int on) { pin_write(PIN_OUTPUT_RELAY, on); }

int port_cause(void) {
    if (!pin_read(PIN_STOP_BUTTON)) return TRIP_EMERGENCY_STOP; /* closed contact: a broken wire stops, too */
    if (!pin_read(PIN_SUPPLY_GOOD)) return TRIP_HARDWARE;
    return TRIP_NONE;
}

double port_kelvin(void) { return thermometer_kelvin(); }

int main(void) {
    port_outputs(0); /* before anything else */
    uart_setup(921600);
    watchdog_setup(100);
    hil_start();
    for (;;) {
        while (tail != head) {
            uint8_t byte = ring[tail];
            tail = tail + 1 == ROOM ? 0 : tail + 1;
            hil_feed(&byte, 1);
        }
        hil_poll();
    }
}

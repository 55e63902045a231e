/* What a board gives the core: link, time, outputs, and what makes them go off. */
#ifndef HIL_PORT_H
#define HIL_PORT_H

#include <stddef.h>
#include <stdint.h>

/* Sends bytes, or keeps them to be sent; none may be lost. Must go on taking in bytes while it waits (4.5). */
void port_send(const uint8_t *bytes, size_t count);

/* Microseconds since some moment, never backwards. */
uint64_t port_micros(void);

/* Called at least every 10 ms of a running request: restart the microcontroller's own watchdog. */
void port_kick(void);

/* A number above 0 that changes with every power-on and RESET: a counter in memory that lasts, or a random one. Asked
 * for when the first host speaks, so that a board without either can take the time until then. */
uint32_t port_boot(void);

/* Serial number of this specimen, printable, at most 64 bytes: no two boards of a model have the same. */
const char *port_serial(void);

/* Connects or disconnects everything that drives the array. Off must work whatever else is broken. */
void port_outputs(int on);

/* A cause for a trip that lasts now: 0, TRIP_HARDWARE or TRIP_EMERGENCY_STOP. */
int port_cause(void);

/* Temperature of the chip, kelvin. */
double port_kelvin(void);

#endif

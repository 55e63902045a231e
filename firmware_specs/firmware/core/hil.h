/* Core of a crossbar device's firmware: bytes in, bytes out (PROTOCOL.md version 1).
 *
 * A port calls hil_start once, hil_feed with what came over the link, and hil_poll as often as it can, at least every
 * 10 ms. Everything runs to its end before these return; while a request runs the core calls port_kick. The core
 * takes no memory after start, calls no operating system, and reaches the board through port.h and chip.h only.
 */
#ifndef HIL_H
#define HIL_H

#include <stddef.h>
#include <stdint.h>

void hil_start(void);                              /* power-on: outputs off, no session */
void hil_feed(const uint8_t *bytes, size_t count); /* bytes that came, in any portions */
void hil_poll(void);                               /* watchdog, trips, replies that wait for credit */
void hil_link_lost(void);                          /* the link was seen to close (needs CAP_LINK_LOSS) */

#endif

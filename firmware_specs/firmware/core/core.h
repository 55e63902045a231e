/* Between the files of the core. */
#ifndef HIL_CORE_H
#define HIL_CORE_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "chip.h"
#include "codes.h"
#include "hil.h"
#include "port.h"

#define MAX_MESSAGE (BOARD_FRAMES * (uint32_t)MAX_PAYLOAD)
#define ABLE(capability) (((BOARD_CAPABILITIES) & (capability)) != 0)
#define PLANES (ABLE(CAP_DIFFERENTIAL) ? 2u * BOARD_PAIRS : 1u)
#define ABOVE_0 DBL_TRUE_MIN
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* frame.c: one frame at a time, either way */
struct frame { /* on its way out `version` and the flags of the device's state are added */
#define FIELD(NAME, name, type) type name;
    HIL_HEADER(FIELD)
    const uint8_t *payload;
};
void frame_reset(void);
void frame_take(uint8_t byte); /* calls link_frame or link_damaged */
void frame_send(const struct frame *frame);
uint64_t load(const uint8_t *from, unsigned bytes); /* little-endian */
void store(uint8_t *to, unsigned bytes, uint64_t value);

/* link.c: sessions, transactions, flow control */
void link_reset(void);
void link_frame(const struct frame *frame);
void link_damaged(void);
void link_pump(void);

/* request.c: the request being executed: fields out of its payload, fields into its reply */
struct request {
    const uint8_t *in;
    uint32_t size, at, field; /* field: where the one got last begins */
    uint8_t *out;
    uint32_t length;
    uint16_t code; /* 0, or the error it is refused with */
    uint32_t detail;
    const char *words;
};
extern struct request request;
struct codes { /* an array of numbers in a request */
    const uint8_t *bytes;
    uint32_t width, count; /* count: 0 where refused */
};
/* Refuses the request unless it is fine; the first refusal counts. True while nothing is refused. */
bool allow(bool fine, unsigned code, uint32_t detail, const char *words);
bool require(bool fine, const char *words); /* of the field got last: else MALFORMED */
uint32_t get(unsigned bytes); /* at most 4 */
uint32_t get_within(unsigned bytes, uint32_t low, uint32_t high, const char *words);
uint32_t get_width(void);
double get_real(unsigned bytes, double low, double high, const char *words); /* f32 or f64, never NaN */
struct codes get_codes(uint32_t width, uint64_t count);
uint32_t code_at(struct codes of, uint64_t i);
double real_at(struct codes of, uint64_t i); /* f32 or f64 by their width */
bool codes_within(struct codes codes, uint32_t low, uint32_t high);
bool done(void); /* nothing refused so far, and nothing is left */
void put(unsigned bytes, uint64_t value);
void put_numbers(const char *widths, const uint64_t *values); /* a digit a number: its bytes */
#define PUT(widths, ...) put_numbers(widths, (const uint64_t[]){__VA_ARGS__})
void put_at(uint32_t at, unsigned bytes, uint64_t value);
uint64_t f64(double value); /* bits of a number, for the four above */
uint32_t f32(double value);
void put_bytes(const void *bytes, uint32_t count);
void put_text(const char *text);
bool reply_fits(uint64_t bytes); /* TOO_LARGE before anything is done */
unsigned width_of(uint64_t largest);

/* device.c: state, limits, watchdog, trips, fault log */
struct device {
    uint8_t state, trip;
    bool reset;        /* power on again once the reply is out */
    uint32_t boot;     /* 0: nobody spoke since power-on */
    uint64_t watchdog; /* microseconds; 0: not set */
    char owner[129];
    bool unseen; /* faults; from here on what outlives RESET */
    uint32_t damaged, faults;
    uint64_t started, fed, transactions; /* the first two in microseconds */
    double active[LIMIT_COUNT];
    struct fault {
        uint64_t micros;
        uint8_t trip;
    } log[BOARD_FAULTS];
};
extern struct device device;
void device_power_on(void);
void device_poll(void);
uint8_t device_flags(void);
void device_feed(void);
void device_trip(unsigned cause);
unsigned device_cause(void); /* a cause of a trip that lasts, or 0 */
bool device_working(void);   /* between two steps of a request: false when outputs went off */

/* board numbers */
struct converter {
    uint8_t id, quantity, bits, ideal;
    double low, high;
};
const struct converter *converter(unsigned id);
uint32_t code_max(unsigned bits);
double parameter(unsigned id, double missing);

/* verbs.c and its neighbours */
void execute(uint8_t opcode); /* from and into `request` */
#define DECLARE(name, function, armed, capability, empty) void verb_##function(void);
HIL_VERBS(DECLARE)
void topology_reset(void);
const struct topology *placed(uint32_t array); /* NULL and a refusal where there is none */
uint32_t get_reads(void);
bool reads_ok(uint32_t reads);
bool within(double value, unsigned limit, const char *words); /* of the limit, either sign: else LIMIT */

#endif

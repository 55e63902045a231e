/* Sessions, transactions and flow control (PROTOCOL.md sections 3 to 5).
 *
 * A request is executed as soon as its last frame is in, its reply built where the cache keeps it, and sent as far as
 * the host's window allows. Replies that wait for CREDIT stand in `queue`, oldest first.
 */
#include <string.h>

#include "core.h"

struct kept {
    uint32_t sequence, length; /* sequence 0: empty */
    uint16_t next, credited;   /* frames sent, and taken in by the host */
    uint8_t kind, opcode;
    bool replayed;
    uint8_t payload[MAX_MESSAGE];
};

#define NOBODY UINT64_MAX
static uint32_t session, last;
static uint64_t unknown = NOBODY; /* session and sequence that the last NAK 4 was for */
static uint16_t host_window, expected, credit_at, parts; /* expected: next frame of the message being received */
static uint8_t opcode;                                   /* of that message, as parts */
static bool naked;
static struct kept cache[BOARD_REPLIES], *queue[BOARD_REPLIES];
static unsigned waiting;
static uint8_t small[8 + 64]; /* payload of frames that are not kept */
#if BOARD_FRAMES > 1
static uint8_t message[MAX_MESSAGE];
#endif

#define SMALL ((struct request){.out = small})

static void send_small(uint8_t kind, uint8_t of, uint32_t nonce, uint32_t sequence) {
    frame_send(&(struct frame){.kind = kind, .opcode = of, .session = nonce, .sequence = sequence, .parts = 1,
                               .length = (uint16_t)request.length, .payload = small});
}

static void drop_traffic(void) {
    expected = credit_at = 0;
    waiting = 0;
}

void link_reset(void) {
    session = last = 0;
    memset(cache, 0, sizeof cache);
    drop_traffic();
}

static void nak(unsigned reason, uint32_t nonce, uint32_t sequence, uint16_t part) {
    request = SMALL;
    PUT("142", reason, sequence, part);
    send_small(KIND_NAK, 0, nonce, 0);
}

static void nak_once(unsigned reason) {
    if (!naked) nak(reason, session, last + 1, expected);
    naked = true;
}

void link_damaged(void) {
    device.damaged++;
    if (session) nak_once(NAK_DAMAGED);
}

/* Is it UTF-8? Overlong forms and surrogates are not looked for: the text is kept, never taken apart. */
static bool utf8(const uint8_t *text, uint32_t length) {
    unsigned follow = 0;
    for (; length--; text++) {
        if (follow ? (*text & 0xC0) != 0x80 : *text >= 0x80 && (*text < 0xC2 || *text > 0xF4)) return false;
        follow = follow ? follow - 1 : *text >= 0xF0 ? 3 : *text >= 0xE0 ? 2 : *text >= 0x80;
    }
    return !follow;
}

static bool take_sync(const struct frame *frame) {
    request = (struct request){.in = frame->payload, .size = frame->length, .out = small};
    uint8_t lowest = (uint8_t)get(1), highest = (uint8_t)get(1);
    uint16_t window = (uint16_t)get(2);
    uint32_t previous = (uint32_t)get(4);
    struct codes owner = get_codes(1, get(2));
    if (!done() || owner.count > 128 || window < 2 || !frame->session || frame->sequence || frame->parts != 1 ||
        frame->opcode || !utf8(owner.bytes, owner.count))
        return false;
    bool common = lowest <= PROTOCOL_VERSION && PROTOCOL_VERSION <= highest;
    bool repeated = common && frame->session == session;
    bool continued = repeated || (common && previous && previous == session);
    if (!device.boot) device.boot = port_boot(); /* somebody speaks: from now on there is a number */
    if (!continued) device_disarm(), link_reset();
    if (!repeated) drop_traffic();
    naked = false;
    unknown = NOBODY;
    session = common ? frame->session : 0;
    host_window = window;
    memcpy(device.owner, owner.bytes, owner.count);
    device.owner[common ? owner.count : 0] = 0;
    device_feed();
    PUT("112", common ? PROTOCOL_VERSION : 0, continued, BOARD_WINDOW);
    PUT("44442", last, device.boot, MAX_MESSAGE, MAX_MESSAGE, BOARD_REPLIES);
    send_small(KIND_SYNCED, 0, frame->session, 0);
    return true;
}

static struct kept *slot(uint32_t sequence) { return &cache[sequence % BOARD_REPLIES]; }

static bool take_credit(const struct frame *frame) {
    if (frame->length != 2 || frame->parts != 1 || frame->opcode) return false;
    struct kept *reply = slot(frame->sequence);
    uint16_t next = (uint16_t)load(frame->payload, 2);
    if (reply->sequence == frame->sequence && next > reply->credited)
        reply->credited = next < reply->next ? next : reply->next;
    return true;
}

static void send_part(const struct kept *reply, uint32_t count) {
    if (reply->replayed && reply->next == 0) port_send((const uint8_t[]){0}, 1); /* before what is sent again (2.6) */
    uint32_t from = reply->next * (uint32_t)MAX_PAYLOAD, left = reply->length - from;
    uint8_t flags = reply->replayed ? FLAG_REPLAYED : 0;
    frame_send(&(struct frame){.kind = reply->kind, .opcode = reply->opcode, .flags = flags, .session = session,
                               .sequence = reply->sequence, .part = reply->next, .parts = (uint16_t)count,
                               .length = (uint16_t)(left < MAX_PAYLOAD ? left : MAX_PAYLOAD),
                               .payload = reply->payload + from});
}

static unsigned place_of(const struct kept *reply) { /* in the queue; `waiting` where it is not there */
    unsigned place = 0;
    while (place < waiting && queue[place] != reply) place++;
    return place;
}

static void leave(unsigned place) {
    if (place < waiting) memmove(queue + place, queue + place + 1, (--waiting - place) * sizeof *queue);
}

static void enqueue(struct kept *reply, bool replayed) {
    reply->next = reply->credited = 0;
    reply->replayed = replayed;
    queue[waiting++] = reply;
}

/* What the host's window allows; a reply waits until the one before it is out. */
void link_pump(void) {
    while (waiting) {
        struct kept *reply = queue[0];
        uint32_t count = reply->length ? (reply->length + MAX_PAYLOAD - 1) / MAX_PAYLOAD : 1;
        for (; reply->next < count && reply->next < reply->credited + (uint32_t)host_window; reply->next++)
            send_part(reply, count);
        if (reply->next < count) return;
        leave(0);
    }
}

static void put_error(void) {
    request.length = 0;
    PUT("24", request.code, request.detail);
    put_text(request.words);
}

static void replay(uint32_t sequence, uint8_t of) {
    struct kept *reply = slot(sequence);
    if (sequence && reply->sequence == sequence) {
        leave(place_of(reply));
        enqueue(reply, true);
        return;
    }
    request = SMALL;
    allow(false, ERR_STALE, last, "executed already, the reply is no longer kept");
    put_error();
    send_small(KIND_ERROR, of, session, sequence);
}

/* The request is whole: executes it, or refuses it as too large. */
static void finish(const uint8_t *in, uint32_t size, bool too_large) {
    struct kept *reply = slot(last + 1);
    if (place_of(reply) < waiting) { /* more in flight than the window allows */
        nak_once(NAK_FULL);
        return;
    }
    naked = false;
    expected = credit_at = 0;
    request = (struct request){.in = in, .size = size, .out = reply->payload};
    reply->sequence = last + 1;
    reply->opcode = opcode;
    if (allow(!too_large, ERR_TOO_LARGE, MAX_MESSAGE, "request is longer than max_request")) execute(opcode);
    reply->kind = request.code ? KIND_ERROR : KIND_REPLY;
    if (request.code) put_error();
    reply->length = request.length;
    last++;
    enqueue(reply, false);
}

static void take_request(const struct frame *frame) {
    bool final = frame->part + 1 == frame->parts;
    if (frame->sequence <= last) {
        if (final) replay(frame->sequence, frame->opcode);
        return;
    }
    if (frame->sequence > last + 1 || last == UINT32_MAX || frame->part > expected) {
        nak_once(NAK_GAP);
        return;
    }
    bool other = expected && (frame->opcode != opcode || frame->parts != parts);
    if (other || (!final && frame->length != MAX_PAYLOAD)) {
        link_damaged();
        return;
    }
    if (frame->part < expected) return; /* came already */
    opcode = frame->opcode;
    parts = frame->parts;
    uint32_t least = (parts - 1u) * (uint32_t)MAX_PAYLOAD + (final ? frame->length : 1u);
    if (least > MAX_MESSAGE || parts == 1) {
        finish(frame->payload, frame->length, least > MAX_MESSAGE);
        return;
    }
#if BOARD_FRAMES > 1
    memcpy(message + frame->part * (uint32_t)MAX_PAYLOAD, frame->payload, frame->length);
    naked = false;
    expected++;
    if (final) {
        finish(message, least, false);
    } else if (expected - credit_at >= (BOARD_WINDOW + 1) / 2) {
        credit_at = expected;
        request = SMALL;
        put(2, expected);
        send_small(KIND_CREDIT, 0, session, frame->sequence);
    }
#endif
}

static void no_session(const struct frame *frame) { /* once a request, whatever parts of it come */
    uint64_t asked = (uint64_t)frame->session << 32 | frame->sequence;
    if (asked != unknown) nak(NAK_NO_SESSION, frame->session, 0, 0);
    unknown = asked;
}

void link_frame(const struct frame *frame) {
    bool ours = session && frame->session == session, credit = frame->kind == KIND_CREDIT;
    if (ours && (credit || frame->kind == KIND_REQUEST)) device_feed();
    if (frame->kind == KIND_REQUEST && ours) take_request(frame);
    else if (frame->kind == KIND_REQUEST) no_session(frame);
    else if (credit ? ours && !take_credit(frame) : frame->kind != KIND_SYNC || !take_sync(frame)) link_damaged();
    link_pump();
    if (device.reset) { /* the reply of RESET is out */
        device_power_on();
        link_reset();
    }
}

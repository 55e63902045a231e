/* Sessions, transactions and flow control (PROTOCOL.md sections 3 to 5).
 *
 * A request is executed as soon as its last frame is in, its reply built where the cache keeps it, and sent as far as
 * the host's window allows. Replies that wait for CREDIT stand in `sending`, oldest first.
 */
#include <string.h>

#include "core.h"

struct kept {
    uint32_t sequence, length; /* sequence 0: empty */
    uint8_t kind, opcode;
    uint8_t payload[MAX_MESSAGE];
};

struct sending {
    struct kept *reply;
    uint16_t next, credited;
    bool replayed;
};

static uint32_t session, last, unknown[2]; /* unknown: session and sequence that the last NAK 4 was for */
static uint16_t host_window, expected, credit_at; /* expected: next frame of the message being received */
static uint8_t opcode;                            /* of that message */
static uint16_t parts;
static bool naked, fresh;
static struct kept cache[BOARD_REPLIES];
static struct sending sending[BOARD_REPLIES];
static unsigned waiting;
#if BOARD_FRAMES > 1
static uint8_t message[MAX_MESSAGE];
#endif

static void send_small(uint8_t kind, uint32_t of_session, uint32_t sequence, const uint8_t *payload, unsigned length) {
    struct frame frame = {.kind = kind, .session = of_session, .sequence = sequence, .parts = 1,
                          .length = (uint16_t)length, .payload = payload};
    frame_send(&frame);
}

static void drop_traffic(void) {
    expected = credit_at = 0;
    waiting = 0;
    naked = false;
    unknown[0] = unknown[1] = 0;
}

static void new_session(void) {
    last = 0;
    memset(cache, 0, sizeof cache);
    drop_traffic();
}

void link_reset(void) {
    session = 0;
    new_session();
}

static void nak(unsigned reason, uint32_t of_session, uint32_t sequence, uint16_t part) {
    uint8_t payload[7] = {(uint8_t)reason};
    for (unsigned i = 0; i < 4; i++) payload[1 + i] = (uint8_t)(sequence >> (8 * i));
    payload[5] = (uint8_t)part;
    payload[6] = (uint8_t)(part >> 8);
    send_small(KIND_NAK, of_session, 0, payload, sizeof payload);
}

static void nak_once(unsigned reason) {
    if (naked) return;
    naked = true;
    nak(reason, session, last + 1, expected);
}

void link_damaged(void) {
    device.damaged++;
    if (session) nak_once(NAK_DAMAGED);
}

/* Is it UTF-8? Overlong forms and surrogates are not looked for: the text is kept, never taken apart. */
static bool utf8(const uint8_t *text, uint32_t length) {
    unsigned follow = 0;
    for (uint32_t i = 0; i < length; i++) {
        if (follow) {
            if ((text[i] & 0xC0) != 0x80) return false;
            follow--;
        } else if (text[i] >= 0x80) {
            if (text[i] < 0xC2 || text[i] > 0xF4) return false;
            follow = text[i] >= 0xF0 ? 3 : text[i] >= 0xE0 ? 2 : 1;
        }
    }
    return follow == 0;
}

static void take_sync(const struct frame *frame) {
    const uint8_t *in = frame->payload;
    uint32_t owner = frame->length >= 10 ? (uint32_t)load(in + 8, 2) : 0;
    uint16_t window = frame->length >= 10 ? (uint16_t)load(in + 2, 2) : 0;
    if (frame->length != 10 + owner || owner > 128 || window < 2 || !frame->session || frame->sequence ||
        frame->parts != 1 || frame->opcode || !utf8(in + 10, owner)) {
        link_damaged();
        return;
    }
    device_begin();
    uint32_t previous = (uint32_t)load(in + 4, 4);
    bool common = in[0] <= PROTOCOL_VERSION && PROTOCOL_VERSION <= in[1];
    bool repeated = common && frame->session == session;
    bool continued = repeated || (common && previous && previous == session);
    if (!continued) {
        device_disarm();
        new_session();
    } else if (!repeated) {
        drop_traffic();
    }
    naked = false;
    unknown[0] = unknown[1] = 0;
    session = common ? frame->session : 0;
    if (common) {
        host_window = window;
        memcpy(device.owner, in + 10, owner);
        device.owner[owner] = 0;
        device_feed();
    } else {
        device.owner[0] = 0;
    }
    uint8_t reply[22] = {common ? PROTOCOL_VERSION : 0, continued, BOARD_WINDOW & 255, BOARD_WINDOW >> 8};
    const uint32_t numbers[4] = {last, device.boot, MAX_MESSAGE, MAX_MESSAGE};
    for (unsigned i = 0; i < 16; i++) reply[4 + i] = (uint8_t)(numbers[i / 4] >> (8 * (i % 4)));
    reply[20] = BOARD_REPLIES & 255;
    reply[21] = BOARD_REPLIES >> 8;
    send_small(KIND_SYNCED, frame->session, 0, reply, sizeof reply);
}

static void take_credit(const struct frame *frame) {
    if (frame->length != 2 || frame->parts != 1 || frame->opcode) {
        link_damaged();
        return;
    }
    uint16_t next = (uint16_t)load(frame->payload, 2);
    for (unsigned i = 0; i < waiting; i++) {
        struct sending *s = &sending[i];
        if (s->reply->sequence != frame->sequence) continue;
        if (next > s->next) next = s->next;
        if (next > s->credited) s->credited = next;
    }
}

static uint32_t frames_of(uint32_t length) { return length ? (length + MAX_PAYLOAD - 1) / MAX_PAYLOAD : 1; }

static void send_part(const struct sending *s, uint32_t count) {
    static const uint8_t delimiter = 0;
    const struct kept *reply = s->reply;
    if (s->replayed && s->next == 0) port_send(&delimiter, 1); /* before what is sent again (2.6) */
    uint32_t from = s->next * (uint32_t)MAX_PAYLOAD, left = reply->length - from;
    struct frame frame = {.kind = reply->kind, .opcode = reply->opcode, .flags = s->replayed ? FLAG_REPLAYED : 0,
                          .session = session, .sequence = reply->sequence, .part = s->next,
                          .parts = (uint16_t)count, .length = (uint16_t)(left < MAX_PAYLOAD ? left : MAX_PAYLOAD),
                          .payload = reply->payload + from};
    frame_send(&frame);
}

/* What the host's window allows; a reply waits until the one before it is out. */
void link_pump(void) {
    while (waiting) {
        struct sending *s = &sending[0];
        uint32_t count = frames_of(s->reply->length);
        for (; s->next < count && s->next < s->credited + (uint32_t)host_window; s->next++) send_part(s, count);
        if (s->next < count) return;
        memmove(sending, sending + 1, --waiting * sizeof *sending);
    }
}

static void drop_sending(const struct kept *reply) {
    for (unsigned i = 0; i < waiting;) {
        if (sending[i].reply == reply) memmove(sending + i, sending + i + 1, (--waiting - i) * sizeof *sending);
        else i++;
    }
}

static void enqueue(struct kept *reply, bool replayed) {
    sending[waiting++] = (struct sending){.reply = reply, .replayed = replayed};
}

static void error_into(struct kept *reply) {
    reply->kind = KIND_ERROR;
    unsigned code = request.code;
    uint32_t detail = request.detail;
    const char *words = request.words;
    request = (struct request){.out = reply->payload};
    put(2, code);
    put(4, detail);
    put_text(words);
}

static void replay(uint32_t sequence, uint8_t of) {
    struct kept *reply = &cache[sequence % BOARD_REPLIES];
    if (sequence && reply->sequence == sequence) {
        drop_sending(reply);
        enqueue(reply, true);
        return;
    }
    static uint8_t payload[8 + 64];
    request = (struct request){.out = payload};
    put(2, ERR_STALE);
    put(4, last);
    put_text("executed already, the reply is no longer kept");
    struct frame frame = {.kind = KIND_ERROR, .opcode = of, .session = session, .sequence = sequence, .parts = 1,
                          .length = (uint16_t)request.length, .payload = payload};
    frame_send(&frame);
}

/* The request is whole: executes it, or refuses it with what is in `request`. */
static void finish(const uint8_t *in, uint32_t size, bool too_large) {
    struct kept *reply = &cache[(last + 1) % BOARD_REPLIES];
    for (unsigned i = 0; i < waiting; i++) {
        if (sending[i].reply == reply) { /* more in flight than the window allows */
            nak_once(NAK_FULL);
            return;
        }
    }
    naked = false;
    expected = credit_at = 0;
    request = (struct request){.in = in, .size = size, .out = reply->payload};
    reply->sequence = last + 1;
    reply->opcode = opcode;
    bool fine = too_large ? refuse(ERR_TOO_LARGE, MAX_MESSAGE, "request is longer than max_request") : execute(opcode);
    if (fine) reply->kind = KIND_REPLY;
    else error_into(reply);
    reply->length = request.length;
    last++;
    enqueue(reply, false);
    fresh = reset_asked();
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
    if (least > MAX_MESSAGE) {
        finish(frame->payload, 0, true);
        return;
    }
    if (parts == 1) {
        finish(frame->payload, frame->length, false);
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
        const uint8_t payload[2] = {(uint8_t)expected, (uint8_t)(expected >> 8)};
        send_small(KIND_CREDIT, session, frame->sequence, payload, sizeof payload);
    }
#endif
}

void link_frame(const struct frame *frame) {
    if (frame->kind == KIND_SYNC) {
        take_sync(frame);
    } else if (frame->kind == KIND_REQUEST && (!session || frame->session != session)) {
        if (frame->session == unknown[0] && frame->sequence == unknown[1]) return;
        unknown[0] = frame->session;
        unknown[1] = frame->sequence;
        nak(NAK_NO_SESSION, frame->session, 0, 0);
    } else if (frame->kind == KIND_REQUEST) {
        device_feed();
        take_request(frame);
    } else if (frame->kind == KIND_CREDIT && session && frame->session == session) {
        device_feed();
        take_credit(frame);
    } else if (frame->kind != KIND_CREDIT) {
        link_damaged();
    }
    link_pump();
    if (fresh) { /* the reply of RESET is out */
        fresh = false;
        device_power_on();
        link_reset();
    }
}

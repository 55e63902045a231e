/* Sessions, transactions and flow control (PROTOCOL.md sections 3 to 5).
 *
 * A request is executed as soon as its last frame is in, its reply built where the cache keeps it, and sent as far as
 * the host's window allows. Replies that wait for CREDIT go out by their `turn`.
 */
#include "core.h"

struct kept {
    uint32_t sequence, length;      /* sequence 0: empty */
    uint64_t turn;                  /* among those on their way out the lowest is sent; 0: it is out */
    uint16_t parts, next, credited; /* frames, those sent, and those taken in by the host */
    uint8_t kind, opcode;
    bool replayed;
    uint8_t payload[MAX_MESSAGE];
};

static uint32_t session, last;
static uint64_t unknown = UINT64_MAX, turns;      /* unknown: session and sequence that the last NAK 4 was for */
static struct frame taken;                        /* newest frame of the message being received; its payload is gone */
static uint16_t host_window, expected, credit_at; /* expected: the next one of it; credit_at: as the last CREDIT said */
static bool naked;
static struct kept cache[BOARD_REPLIES];
static uint8_t small[8 + 64];                               /* payload of frames that are not kept */
static uint8_t message[BOARD_FRAMES > 1 ? MAX_MESSAGE : 1]; /* of several frames */

static void send_small(uint8_t kind, uint8_t of, uint32_t nonce, uint32_t sequence) {
    frame_send(&(struct frame){.kind = kind, .opcode = of, .session = nonce, .sequence = sequence, .parts = 1,
                               .length = (uint16_t)request.length, .payload = small});
}

static void send_numbers(uint8_t kind, uint32_t nonce, uint32_t sequence, const char *widths, const uint64_t *numbers) {
    request = (struct request){.out = small};
    put_numbers(widths, numbers);
    send_small(kind, 0, nonce, sequence);
}
#define SEND(kind, nonce, sequence, widths, ...) \
    send_numbers(kind, nonce, sequence, widths, (const uint64_t[]){__VA_ARGS__})

static void drop_traffic(void) {
    expected = credit_at = 0;
    for (unsigned i = 0; i < BOARD_REPLIES; i++) cache[i].turn = 0;
}

void link_reset(void) {
    session = last = 0;
    memset(cache, 0, sizeof cache);
    drop_traffic();
}

static void nak_once(unsigned reason) {
    if (!naked) SEND(KIND_NAK, session, 0, "142", reason, last + 1, expected);
    naked = true;
}

void link_damaged(void) {
    device.damaged++;
    if (session) nak_once(NAK_DAMAGED);
}

static bool utf8(const uint8_t *text, const uint8_t *end) {
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}, most[] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
    while (text < end) {
        unsigned follow = *text >= 0xF0 ? 3 : *text >= 0xE0 ? 2 : *text >= 0xC0, left = follow;
        uint32_t point = follow ? *text++ & (0x7Fu >> follow) : *text++;
        for (; left && text < end && (*text & 0xC0) == 0x80; left--) point = point << 6 | (*text++ & 0x3F);
        if (left || point < least[follow] || point > most[follow] || (point >= 0xD800 && point < 0xE000)) return false;
    }
    return true;
}

static bool take_sync(const struct frame *frame) {
    request = (struct request){.in = frame->payload, .size = frame->length};
    uint32_t lowest = get(1), highest = get(1), window = get(2), previous = get(4);
    struct codes owner = get_codes(1, get(2));
    if (!done() || owner.count > 128 || window < 2 || !frame->session || frame->sequence || frame->parts != 1 ||
        frame->opcode || !utf8(owner.bytes, owner.bytes + owner.count))
        return false;
    bool common = lowest <= PROTOCOL_VERSION && PROTOCOL_VERSION <= highest;
    bool repeated = common && frame->session == session;
    bool continued = repeated || (common && previous && previous == session);
    if (!device.boot) device.boot = port_boot(); /* somebody speaks: from now on there is a number */
    if (!continued) verb_disarm(), link_reset();
    if (!repeated) drop_traffic();
    naked = false;
    unknown = UINT64_MAX;
    session = common ? frame->session : 0;
    host_window = (uint16_t)window;
    memcpy(device.owner, owner.bytes, owner.count);
    device.owner[common ? owner.count : 0] = 0;
    device_feed();
    SEND(KIND_SYNCED, frame->session, 0, "11244442", common ? PROTOCOL_VERSION : 0, continued, BOARD_WINDOW, last,
         device.boot, MAX_MESSAGE, MAX_MESSAGE, BOARD_REPLIES);
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

static void send_part(struct kept *reply) {
    if (reply->replayed && reply->next == 0) port_send((const uint8_t[]){0}, 1); /* before what is sent again (2.6) */
    uint32_t from = reply->next * (uint32_t)MAX_PAYLOAD, left = reply->length - from;
    uint8_t flags = reply->replayed ? FLAG_REPLAYED : 0;
    frame_send(&(struct frame){.kind = reply->kind, .opcode = reply->opcode, .flags = flags, .session = session,
                               .sequence = reply->sequence, .part = reply->next++, .parts = reply->parts,
                               .length = (uint16_t)(left < MAX_PAYLOAD ? left : MAX_PAYLOAD),
                               .payload = reply->payload + from});
}

static void enqueue(struct kept *reply, bool replayed) {
    reply->next = reply->credited = 0;
    reply->replayed = replayed;
    reply->turn = ++turns;
}

static struct kept *first_waiting(void) {
    struct kept *first = NULL;
    for (struct kept *reply = cache; reply < cache + BOARD_REPLIES; reply++)
        if (reply->turn && (!first || reply->turn < first->turn)) first = reply;
    return first;
}

/* What the host's window allows; a reply waits until the one before it is out. */
void link_pump(void) {
    struct kept *reply;
    while ((reply = first_waiting()) && reply->next < reply->credited + (uint32_t)host_window) {
        send_part(reply);
        if (reply->next == reply->parts) reply->turn = 0;
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
        enqueue(reply, true);
        return;
    }
    request = (struct request){.out = small};
    allow(false, ERR_STALE, last, "executed already, the reply is no longer kept");
    put_error();
    send_small(KIND_ERROR, of, session, sequence);
}

/* The request is whole, or too large before it is: executes or refuses it. */
static void finish(const uint8_t *in, uint32_t size) {
    struct kept *reply = slot(last + 1);
    naked = false;
    expected = credit_at = 0;
    request = (struct request){.in = in, .size = size, .out = reply->payload};
    allow(size <= MAX_MESSAGE, ERR_TOO_LARGE, MAX_MESSAGE, "request is longer than max_request");
    if (!request.code) execute(taken.opcode);
    reply->kind = request.code ? KIND_ERROR : KIND_REPLY;
    if (request.code) put_error();
    reply->sequence = ++last;
    reply->opcode = taken.opcode;
    reply->length = request.length;
    reply->parts = (uint16_t)(request.length ? (request.length + MAX_PAYLOAD - 1) / MAX_PAYLOAD : 1);
    enqueue(reply, false);
}

static void take_part(const struct frame *frame, bool final) { /* the expected one */
    uint32_t least = (frame->parts - 1u) * (uint32_t)MAX_PAYLOAD + (final ? frame->length : 1u); /* of the message */
    taken = *frame;
    if (frame->parts > 1 && least <= MAX_MESSAGE) {
        memcpy(message + frame->part * (uint32_t)MAX_PAYLOAD, frame->payload, frame->length);
        naked = false;
        expected++;
    }
    if (final || least > MAX_MESSAGE) {
        finish(frame->parts > 1 ? message : frame->payload, least);
    } else if (expected - credit_at >= (BOARD_WINDOW + 1) / 2) {
        credit_at = expected;
        SEND(KIND_CREDIT, session, frame->sequence, "2", expected);
    }
}

static void take_request(const struct frame *frame) {
    bool final = frame->part + 1 == frame->parts, other = frame->opcode != taken.opcode || frame->parts != taken.parts;
    if (frame->sequence <= last && final) replay(frame->sequence, frame->opcode);
    else if (frame->sequence <= last) return;
    else if (frame->sequence > last + 1 || frame->part > expected) nak_once(NAK_GAP);
    else if ((expected && other) || (!final && frame->length != MAX_PAYLOAD)) link_damaged();
    else if (frame->part < expected) return; /* came already */
    else if (slot(last + 1)->turn) nak_once(NAK_FULL); /* more in flight than the window allows */
    else take_part(frame, final);
}

static void no_session(const struct frame *frame) { /* once a request, whatever parts of it come */
    uint64_t asked = (uint64_t)frame->session << 32 | frame->sequence;
    if (asked != unknown) SEND(KIND_NAK, frame->session, 0, "142", NAK_NO_SESSION, 0, 0);
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

#include "virt.h"

#include <stdbool.h>

/* By its name, rv32imac has no control registers since 2019; every chip has. */
__asm__(".option arch, +zicsr");

/* Where qemu's hw/riscv/virt.c puts things. */
#define SWITCH ((volatile uint32_t *)0x00100000)
#define SWITCH_RESET 0x7777u
#define CLINT_COMPARE_LOW ((volatile uint32_t *)0x02004000)
#define CLINT_COMPARE_HIGH ((volatile uint32_t *)0x02004004)
#define CLINT_TIME_LOW ((volatile uint32_t *)0x0200BFF8)
#define CLINT_TIME_HIGH ((volatile uint32_t *)0x0200BFFC)
#define TICKS_PER_MICROSECOND 10u
#define UART ((volatile uint8_t *)0x10000000)
#define UART_INTERRUPT 10u
#define PLIC_PRIORITY ((volatile uint32_t *)0x0C000000)
#define PLIC_ENABLE ((volatile uint32_t *)0x0C002000)
#define PLIC_THRESHOLD ((volatile uint32_t *)0x0C200000)
#define PLIC_CLAIM ((volatile uint32_t *)0x0C200004)

/* An ns16550's registers and bits. */
enum { DATA = 0, INTERRUPTS = 1, FIFO = 2, LINE = 3, MODEM = 4, STATE = 5 };
#define ON_RECEIVED 0x01u
#define ON_SENT 0x02u
#define FIFOS_ON_AND_EMPTY 0xC7u /* and an interrupt when 14 bytes are in it, or no more come */
#define EIGHT_N_ONE 0x03u
#define DIVISOR 0x80u /* instead of data and interrupts */
#define RECEIVED 0x01u
#define SENT 0x20u
#define FIFO_BYTES 16u

/* Bits of mie, mip and mstatus. */
#define TIMER (1u << 7)
#define EXTERNAL (1u << 11)
#define INTERRUPTS_ON (1u << 3)

#define set_bits(name, bits) __asm__ volatile("csrs " #name ", %0" : : "r"(bits) : "memory")
#define clear_bits(name, bits) __asm__ volatile("csrc " #name ", %0" : : "r"(bits) : "memory")

/* One writer and one reader each: an interrupt and the program. `room` is a power of two. */
struct queue {
    uint8_t *bytes;
    uint32_t room;
    volatile uint32_t put;
    volatile uint32_t taken;
};

static uint8_t received_bytes[16384]; /* twice what one FETCH asks for: the flash may take its time */
static uint8_t bytes_to_send[2048];
static struct queue received = {.bytes = received_bytes, .room = sizeof received_bytes};
static struct queue to_send = {.bytes = bytes_to_send, .room = sizeof bytes_to_send};
static volatile uint32_t overruns;

static bool put(struct queue *queue, uint8_t byte)
{
    if (queue->put - queue->taken == queue->room) {
        return false;
    }
    queue->bytes[queue->put % queue->room] = byte;
    queue->put++;
    return true;
}

static bool take(struct queue *queue, uint8_t *byte)
{
    if (queue->put == queue->taken) {
        return false;
    }
    *byte = queue->bytes[queue->taken % queue->room];
    queue->taken++;
    return true;
}

static void serve_uart(void)
{
    uint8_t byte;

    while ((UART[STATE] & RECEIVED) != 0) {
        if (!put(&received, UART[DATA])) {
            overruns++;
        }
    }
    if ((UART[STATE] & SENT) == 0) {
        return;
    }
    for (unsigned sent = 0; sent < FIFO_BYTES; sent++) {
        if (!take(&to_send, &byte)) {
            UART[INTERRUPTS] = ON_RECEIVED;
            return;
        }
        UART[DATA] = byte;
    }
}

__attribute__((interrupt("machine"), aligned(4))) static void interrupted(void)
{
    uint32_t cause;

    __asm__ volatile("csrr %0, mcause" : "=r"(cause));
    if ((cause & 0x80000000u) == 0) {
        uint32_t address;
        __asm__ volatile("csrr %0, mepc" : "=r"(address));
        virt_crashed(cause, address);
        virt_reset();
    }
    if ((cause & 0xFFu) == 7u) {
        clear_bits(mie, TIMER); /* it was only to wake */
        return;
    }
    for (uint32_t claim = *PLIC_CLAIM; claim != 0; claim = *PLIC_CLAIM) {
        serve_uart();
        *PLIC_CLAIM = claim;
    }
}

void virt_start(void)
{
    __asm__ volatile("csrw mtvec, %0" : : "r"(&interrupted));
    UART[FIFO] = FIFOS_ON_AND_EMPTY;
    UART[LINE] = DIVISOR;
    UART[DATA] = 1; /* as fast as it can; nobody else counts these */
    UART[INTERRUPTS] = 0;
    UART[LINE] = EIGHT_N_ONE;
    UART[MODEM] = 0x0B; /* DTR and RTS, and the interrupt's gate */
    UART[INTERRUPTS] = ON_RECEIVED;
    PLIC_PRIORITY[UART_INTERRUPT] = 1;
    *PLIC_ENABLE = 1u << UART_INTERRUPT;
    *PLIC_THRESHOLD = 0;
    set_bits(mie, EXTERNAL);
    set_bits(mstatus, INTERRUPTS_ON);
}

static uint64_t ticks(void)
{
    uint32_t high;
    uint32_t low;

    do {
        high = *CLINT_TIME_HIGH;
        low = *CLINT_TIME_LOW;
    } while (high != *CLINT_TIME_HIGH);
    return (uint64_t)high << 32 | low;
}

uint64_t virt_microseconds(void)
{
    return ticks() / TICKS_PER_MICROSECOND;
}

size_t virt_uart_write(const uint8_t *bytes, size_t count)
{
    size_t taken = 0;

    while (taken < count && put(&to_send, bytes[taken])) {
        taken++;
    }
    if (taken > 0) {
        /* Not while an interrupt may find the queue empty and switch itself off. */
        clear_bits(mstatus, INTERRUPTS_ON);
        UART[INTERRUPTS] = ON_RECEIVED | ON_SENT;
        set_bits(mstatus, INTERRUPTS_ON);
    }
    return taken;
}

size_t virt_uart_read(uint8_t *bytes, size_t room)
{
    size_t taken = 0;

    while (taken < room && take(&received, &bytes[taken])) {
        taken++;
    }
    return taken;
}

uint32_t virt_uart_overruns(void)
{
    return overruns;
}

static void wake_at(uint64_t tick)
{
    *CLINT_COMPARE_HIGH = 0xFFFFFFFFu; /* so that no half of it is in the past */
    *CLINT_COMPARE_LOW = (uint32_t)tick;
    *CLINT_COMPARE_HIGH = (uint32_t)(tick >> 32);
    set_bits(mie, TIMER);
}

void virt_sleep(uint32_t microseconds)
{
    wake_at(ticks() + (uint64_t)microseconds * TICKS_PER_MICROSECOND);
    /* wfi also wakes for what is pending while interrupts are off: nothing that came just now is slept over. */
    clear_bits(mstatus, INTERRUPTS_ON);
    if (received.put == received.taken) {
        __asm__ volatile("wfi");
    }
    set_bits(mstatus, INTERRUPTS_ON);
}

_Noreturn void virt_reset(void)
{
    *SWITCH = SWITCH_RESET;
    for (;;) {
        __asm__ volatile("wfi");
    }
}

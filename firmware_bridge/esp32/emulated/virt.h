/* The board that qemu's riscv32 machine `virt` is: one UART, one clock, a switch. Interrupts fill and drain the UART.
 */
#ifndef VIRT_H
#define VIRT_H

#include <stddef.h>
#include <stdint.h>

/* Interrupts on, the UART at 8N1. Once, before all else. */
void virt_start(void);

/* Microseconds since the machine was switched on. */
uint64_t virt_microseconds(void);

/* Puts as many bytes as there is room for into the UART's queue; says how many. Never waits. */
size_t virt_uart_write(const uint8_t *bytes, size_t count);

/* Takes what the UART received, at most `room` bytes; says how many. Never waits. */
size_t virt_uart_read(uint8_t *bytes, size_t room);

/* Bytes that came while the receive queue was full, and are lost. */
uint32_t virt_uart_overruns(void);

/* Sleeps until a byte came or `microseconds` are over. */
void virt_sleep(uint32_t microseconds);

/* Is told of a fault of the program, before the machine is reset as by a watchdog. The owner of this board writes it.
 */
void virt_crashed(uint32_t cause, uint32_t address);

/* As the reset button does. */
_Noreturn void virt_reset(void);

#endif

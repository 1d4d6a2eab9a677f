/* The application: while the button is held, what the microphone hears goes to the gateway; what comes back is printed.
 */
#ifndef PUSH_TO_TALK_H
#define PUSH_TO_TALK_H

/* Runs for ever, in one task with 4 KiB of stack, over what board.h says. */
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void push_to_talk(void);

#endif

/* What the microphone hears: the samples of the recording that RECORDING names, a WAV file with a head of 44 bytes. */
    .section .rodata
    .global speech, speech_end
    .balign 4
speech:
    .incbin RECORDING, 44
speech_end:

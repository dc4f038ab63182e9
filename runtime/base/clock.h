/* The machine's clocks, in seconds. Whoever needs one takes it here: tests replace rg_clock_s. */
#ifndef RG_BASE_CLOCK_H
#define RG_BASE_CLOCK_H

/* Since some date in the past; never goes back. */
double rg_clock_s(void);
/* The date of UNIX at date 0 of rg_clock_s, as the clock of the day has it at this moment. */
double rg_clock_day_s(void);
/* Processor time of the calling thread, and of the whole process. */
double rg_clock_thread_s(void);
double rg_clock_process_s(void);

#endif

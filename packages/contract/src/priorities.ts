/**
 * How urgent a prediction is, the most urgent first. Of ten turns of a busy model high gets six, normal three and low one;
 * what one does not use is left to the others.
 */
export const priorities = ['high', 'normal', 'low'] as const

export type Priority = (typeof priorities)[number]

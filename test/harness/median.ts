/** The middle one of some numbers in order; of an even count the upper of the two. */
export const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

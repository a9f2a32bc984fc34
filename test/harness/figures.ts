/** Figures beside what was expected of them. A bench measures and judges nothing. */
import { cpus, totalmem } from "node:os";

const rows: { figure: string; measured: string; expected: string; ratio: string }[] = [];

/** Keeps a figure for the table, and prints it at once: a bench that is cut off has said then what it knows. */
export function record(figure: string, measured: number, expected: number, unit: string): void {
    const row = {
        figure,
        measured: `${measured.toFixed(measured < 100 ? 1 : 0)} ${unit}`,
        expected: `<= ${expected} ${unit}`,
        ratio: (measured / expected).toFixed(2),
    };
    console.log(`${row.figure}: ${row.measured} (${row.expected})`);
    rows.push(row);
}

/** Prints all that was recorded, and on what machine. */
export function printFigures(): void {
    console.log(`Measured on ${cpus().length} CPUs and ${Math.round(totalmem() / 1024 ** 3)} GB.`);
    console.table(rows);
}

export interface Column<Row> {
  id: string;
  label: string;
  /** Missing: the column does not sort. Decimal strings of money sort as bigint. */
  value?: (row: Row) => string | number | bigint;
  /** Numbers stand at the right edge, under each other. */
  right?: boolean;
}

export interface Order {
  column: string;
  descending: boolean;
}

/** A stable copy in the order asked for; an unknown column leaves the rows as they are. */
export function sortRows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], order: Order): Row[] {
  const value = columns.find((column) => column.id === order.column)?.value;
  if (!value) return [...rows];
  const sign = order.descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const left = value(a);
    const right = value(b);
    return left === right ? 0 : left < right ? -sign : sign;
  });
}

/** A second press on the same column turns it round. */
export const nextOrder = (order: Order, column: string): Order =>
  order.column === column ? { column, descending: !order.descending } : { column, descending: true };

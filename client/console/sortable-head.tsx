import { type Column, nextOrder, type Order } from "./sorting.ts";

export function SortableHead<Row>(props: { columns: Column<Row>[]; order: Order; onOrder(order: Order): void }) {
  const { columns, order, onOrder } = props;
  return (
    <thead>
      <tr>
        {columns.map(({ id, label, value, right }) => {
          const sorted = order.column === id;
          return (
            <th
              key={id}
              className={right ? "number" : undefined}
              aria-sort={sorted ? (order.descending ? "descending" : "ascending") : undefined}
            >
              {value ? (
                <button type="button" className="sort" onClick={() => onOrder(nextOrder(order, id))}>
                  {label}
                  <span aria-hidden="true">{sorted ? (order.descending ? " ↓" : " ↑") : ""}</span>
                </button>
              ) : (
                label
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

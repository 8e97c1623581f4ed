import { Button } from "@mantine/core";
import { EmptyState } from "../ui/empty-state.tsx";

/** What stands in place of an answer that is awaited or did not come. */
export function QueryState(props: {
  what: string;
  query: { isPending: boolean; isError: boolean; error: Error | null; refetch(): unknown };
}) {
  const { what, query } = props;
  if (query.isPending) {
    return (
      <div role="status">
        <EmptyState title={`Reading the ${what}…`} />
      </div>
    );
  }
  if (!query.isError) return null;
  return (
    <div className="callout" data-tone="bad" role="alert">
      <p>
        The {what} could not be read: {query.error?.message}
      </p>
      <Button variant="default" size="xs" mt="xs" onClick={() => void query.refetch()}>
        Try again
      </Button>
    </div>
  );
}

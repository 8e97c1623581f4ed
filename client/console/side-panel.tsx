import "@mantine/core/styles/ModalBase.layer.css";
import "@mantine/core/styles/Paper.layer.css";
import "@mantine/core/styles/Overlay.layer.css";
import "@mantine/core/styles/CloseButton.layer.css";
import "@mantine/core/styles/Drawer.layer.css";
import { Drawer } from "@mantine/core";
import type { ReactNode } from "react";

/** Details of one row, beside the list. While a dialog covers it, Escape is the dialog's. */
export function SidePanel(props: { title: string; onClose(): void; isCovered?: boolean; children: ReactNode }) {
  return (
    <Drawer
      opened
      onClose={props.onClose}
      title={props.title}
      position="right"
      size="lg"
      closeOnEscape={!props.isCovered}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <div className="panel">{props.children}</div>
    </Drawer>
  );
}

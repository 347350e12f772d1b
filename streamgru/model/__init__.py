"""What a network is (``spec``), where its values lie (``layout``), and the program that runs it (``plan``)."""

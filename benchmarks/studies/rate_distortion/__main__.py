"""The command of the rate-distortion plot: see the package."""

from .command import main

if __name__ == "__main__":
    main()
